from kronos.cli import main

main(["server"])
