from kronos.cli import main

main(["worker"])
