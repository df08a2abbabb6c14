-- Decide that one slot has no run, and why.
INSERT INTO kronos.schedule_firings (schedule_id, nominal_time, outcome, detail, missed, epoch, open)
VALUES (%(schedule)s, %(slot)s, %(outcome)s, %(detail)s, %(missed)s, %(epoch)s, false)
ON CONFLICT (schedule_id, nominal_time) DO NOTHING
