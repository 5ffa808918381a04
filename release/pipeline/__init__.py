"""The pipeline: steps in order, journalled before effect, undone in reverse. It knows no step by name."""
