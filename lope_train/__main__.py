from lope_train.cli.run import main

main()
