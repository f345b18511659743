"""Random inputs through everything that reads them, in search of one that raises, hangs or eats memory."""
