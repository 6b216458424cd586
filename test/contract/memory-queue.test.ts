// The embedded queue keeps the contract.
import { ModelAdmission } from "../../src/queue/admission.js";
import { MemoryQueue } from "../../src/queue/memory/memory-queue.js";
import { testQueueContract } from "../support/contracts/queue-contract.js";

testQueueContract("MemoryQueue", (generate, limits) => {
  const admission = new ModelAdmission(
    limits,
    () => performance.now(),
    () => undefined,
  );
  const queue = new MemoryQueue(generate, admission);
  return Promise.resolve({ queue, dispose: () => queue.close() });
});
