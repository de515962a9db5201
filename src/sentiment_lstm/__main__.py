"""`python -m sentiment_lstm` is the command `sentiment-lstm`."""

from sentiment_lstm.cli import main

if __name__ == "__main__":
    main()
