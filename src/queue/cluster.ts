// What routes know of other processes: whether Redis is up, and which workers there are.

export interface Cluster {
  readonly isRedisUp: boolean;
  /** Of each model of this process, how many workers announce themselves; null on a worker. */
  workers(): Promise<Readonly<Record<string, number>>> | null;
}
