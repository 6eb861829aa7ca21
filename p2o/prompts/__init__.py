"""Plain-data operations on templates: insertion, set cover, assignment."""
