-- The runs of a schedule that have not ended, in lock order.
SELECT run_id FROM kronos.schedule_firings WHERE schedule_id = %(schedule)s AND open ORDER BY run_id
