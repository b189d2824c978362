-- Which request asked for a start: whoever brings it about, now or after a crash, works in that request's trace.
ALTER TABLE enclaves ADD COLUMN trace TEXT;
