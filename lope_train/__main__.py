from lope_train.cli import main

main()
