// Several generations in one stream: their events in the order they come.

export interface Merged<T> {
  /** Which iterator the event is from. */
  readonly input: number;
  readonly event: T;
}

/** Yields from all iterators until all are done; the first failure is thrown, once what came before it has been yielded. */
export async function* merge<T>(iterators: readonly AsyncIterator<T>[]): AsyncGenerator<Merged<T>, void, void> {
  const [only] = iterators;
  const arrivals = only !== undefined && iterators.length === 1 ? mergeOne(only) : mergeSeveral(iterators);
  yield* arrivals;
}

async function* mergeOne<T>(iterator: AsyncIterator<T>): AsyncGenerator<Merged<T>, void, void> {
  for (;;) {
    const next = await iterator.next();
    if (next.done === true) return;
    yield { input: 0, event: next.value };
  }
}

// Each iterator is read by a loop of its own into one list, which a generation's length bounds. Racing their next() calls instead
// would pile up reactions on those that stay silent.
async function* mergeSeveral<T>(iterators: readonly AsyncIterator<T>[]): AsyncGenerator<Merged<T>, void, void> {
  let arrived: Merged<T>[] = [];
  let open = iterators.length;
  let failure: { readonly reason: unknown } | null = null;
  let wake = (): void => undefined;
  const pump = async (iterator: AsyncIterator<T>, input: number) => {
    try {
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
        arrived.push({ input, event: next.value });
        wake();
      }
    } catch (reason) {
      failure ??= { reason };
    }
    open -= 1;
    wake();
  };
  iterators.forEach((iterator, input) => void pump(iterator, input));
  for (;;) {
    const batch = arrived;
    arrived = [];
    yield* batch;
    if (arrived.length > 0) continue;
    if (failure !== null) throw (failure as { readonly reason: unknown }).reason;
    if (open === 0) return;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
}
