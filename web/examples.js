// Inputs to begin with, by what a model is for.
const byTask = {
  g2p: ["knights", "colonel", "read", "queue", "onomatopoeia"],
  itn: [
    "pay three hundred and five dollars on the third of march",
    "meet me at quarter past nine p m",
    "it is twenty two degrees outside",
  ],
  translation: ["The weather is fine today.", "Where is the station?"],
  summarization: [
    "The committee met on Monday. It discussed the budget for two hours and agreed to meet again in May.",
  ],
};

/** @param {{ name: string, task: string | null }} model */
export function examplesFor({ name, task }) {
  const key = Object.keys(byTask).find((known) => task?.includes(known) || name.startsWith(known));
  return key === undefined ? [] : byTask[key];
}
