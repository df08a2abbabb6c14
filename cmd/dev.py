from kronos.cli import main

main(["dev"])
