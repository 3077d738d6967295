"""What a training job is, and everything that makes it run. Start reading at `domain/lifecycle.py`."""
