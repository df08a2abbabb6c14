-- Which class a run is of.
SELECT retention_class FROM kronos.runs WHERE id = %(run)s
