"""The executor as a process, real trainings by real trainers, and the far sides they talk to."""
