// The queue over Redis keeps the contract, with a worker on the other side of it.
import { after, before, describe } from "node:test";
import { startApi, startWorker } from "../../support/servers/nodes.js";
import { testQueueContract } from "../../support/contracts/queue-contract.js";
import { RedisServer, withoutRedis } from "../../support/servers/redis.js";

describe("over Redis", { skip: withoutRedis }, () => {
  let redis: RedisServer;
  let builds = 0;
  before(async () => (redis = await RedisServer.start()));
  after(() => redis.stop());

  testQueueContract("BullQueue", async (generate, limits) => {
    const place = { url: redis.url, prefix: `test${(builds += 1)}` };
    const worker = startWorker((prepared, _logged, signal) => generate(prepared, signal), place);
    const api = startApi(place, limits);
    await api.node.untilUp();
    return {
      queue: api.node.queue,
      dispose: async () => {
        await api.close();
        await worker.close();
      },
    };
  });
});
