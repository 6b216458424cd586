// How many jobs a worker may hold: those that run, one for each free row, and a few so that rows don't wait for Redis. Pure.
//
//   rows  ████████████░░░░ ++        the backlog stays in Redis, where any worker can take it
//         running     free look-ahead

/** A request with beams or several outputs takes several rows. */
export function concurrencyFor(rowsOfRunning: Iterable<number>, capacity: number): number {
  let running = 0;
  let used = 0;
  for (const rows of rowsOfRunning) {
    running += 1;
    used += Math.min(rows, capacity);
  }
  return Math.max(1, running + Math.max(0, capacity + lookAhead(capacity) - used));
}

function lookAhead(capacity: number): number {
  return Math.ceil(capacity / 16);
}
