// Shows that something slow is still running: nothing for the first second, then a line now and then.

export interface ProgressLine {
  /** What is running, for people; called whenever a line is shown. */
  readonly text: () => string;
  readonly show: (line: string) => void;
}

/** Waits for `work`; from the first second on shows the line and the seconds so far, ever less often. */
export async function withProgress<T>(work: Promise<T>, { text, show }: ProgressLine, firstMs = 1000): Promise<T> {
  const started = performance.now();
  let delay = firstMs;
  const showLine = () => {
    const seconds = (performance.now() - started) / 1000;
    show(`${text()} (${seconds.toFixed(0)} s)`);
    delay = Math.min(delay * 1.5, 15_000);
    timer = setTimeout(showLine, delay);
  };
  let timer = setTimeout(showLine, delay);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}
