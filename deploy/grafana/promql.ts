// Pieces of PromQL that panels share. `models` are the labels of a series per model, `all` of one without.

export const models = 'model=~"$model",instance=~"$instance"';
export const all = 'instance=~"$instance"';

/** Events a second since the last few scrapes. */
export function rate(metric: string, labels: string): string {
  return `rate(seqserve_${metric}{${labels}}[$__rate_interval])`;
}

export function quantile(q: number, histogram: string, labels: string, by = "model"): string {
  const groups = by === "" ? "le" : `${by}, le`;
  return `histogram_quantile(${q}, sum by (${groups}) (${rate(`${histogram}_bucket`, labels)}))`;
}

/** Mean of a histogram's values. */
export function mean(histogram: string, labels: string, by = "model"): string {
  return `sum by (${by}) (${rate(`${histogram}_sum`, labels)}) / sum by (${by}) (${rate(`${histogram}_count`, labels)})`;
}

/** For heatmaps: how many values fell into each bucket. */
export function counts(histogram: string, labels: string): string {
  return `sum by (le) (increase(seqserve_${histogram}_bucket{${labels}}[$__rate_interval]))`;
}
