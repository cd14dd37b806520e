"""Whether figures are right: levels as asked, accuracies as lm-eval has them, each stage training what it should."""
