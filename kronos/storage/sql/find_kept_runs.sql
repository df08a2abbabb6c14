-- Which of these runs were not parked: this incarnation owns them, and has not claimed them again since.
SELECT r.id
FROM kronos.runs r JOIN unnest(%(runs)s::uuid[], %(claims)s::integer[]) AS d (id, claims) ON r.id = d.id
WHERE r.owner = %(incarnation)s AND r.claims = d.claims
