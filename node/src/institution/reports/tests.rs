//! Each report over hand-made rows of the book.
