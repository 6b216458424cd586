// Reads Prometheus text: enough to hold counters against what a test did.

/** Sum over all series of `name` whose labels contain every given one. */
export function metricSum(text: string, name: string, labels: Record<string, string> = {}): number {
  const lines = text.split("\n").filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  const matching = lines.filter((line) =>
    Object.entries(labels).every(([key, value]) => line.includes(`${key}="${value}"`)),
  );
  return matching.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

export async function scrape(url: string): Promise<string> {
  const response = await fetch(`${url}/metrics`);
  if (!response.ok) throw new Error(`/metrics answered ${response.status}`);
  return response.text();
}
