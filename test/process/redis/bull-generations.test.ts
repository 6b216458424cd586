// Generations in Redis keep the contract, with a worker on the other side.
import { after, before, describe } from "node:test";
import type { Generate } from "../../../src/generation.js";
import { testGenerationsContract, type GenerationsLimits } from "../../support/contracts/generations-contract.js";
import { startApi, startWorker } from "../../support/servers/nodes.js";
import { RedisServer, withoutRedis } from "../../support/servers/redis.js";

describe("over Redis", { skip: withoutRedis }, () => {
  let redis: RedisServer;
  let builds = 0;
  before(async () => (redis = await RedisServer.start()));
  after(() => redis.stop());

  const build = async (generate: Generate, limits: GenerationsLimits) => {
    const place = { url: redis.url, prefix: `test${(builds += 1)}`, ttlMs: limits.ttlMs };
    const worker = startWorker((prepared, _logged, signal) => generate(prepared, signal), place);
    const api = startApi(place, limits);
    await api.node.untilUp();
    return {
      generations: api.node.generations,
      dispose: async () => {
        await api.close();
        await worker.close(limits.drainTimeoutMs);
      },
    };
  };
  testGenerationsContract("BullGenerations", build, false);
});
