// What of CUDA is on this machine: ONNX Runtime's provider, the libraries it needs, the driver, devices. Only looks; cuda-fault.ts judges.
import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { neededLibraries } from "./needed-libraries.js";

/** Where to look; tests put their own in. */
export interface Places {
  readonly platform: string;
  readonly arch: string;
  /** Holds ONNX Runtime's own libraries. */
  readonly runtimeFolder: string;
  /** /dev */
  readonly deviceFolder: string;
}

export interface CudaParts {
  readonly platform: string;
  readonly arch: string;
  readonly runtimeFolder: string;
  /** Files of the provider that are not there. */
  readonly missingFiles: readonly string[];
  /** Libraries that the provider needs and the loader does not find. */
  readonly missingLibraries: readonly string[];
  /** The loader's own words on libraries that are there and don't load. */
  readonly brokenLibraries: readonly string[];
  readonly hasDriver: boolean;
  /** null: they can't be counted here. */
  readonly devices: number | null;
}

export const driverLibrary = "libcuda.so.1";
const provider = "libonnxruntime_providers_cuda.so";
const providerFiles = [provider, "libonnxruntime_providers_shared.so"];

/** `looksFurther` false: where there is no device, libraries are not asked for (the loader takes a second for CUDA's). */
export function cudaParts(looksFurther: boolean, places: Places = usualPlaces()): CudaParts {
  const { platform, arch, runtimeFolder, deviceFolder } = places;
  const devices = countDevices(deviceFolder);
  const missingFiles = providerFiles.filter((name) => !existsSync(join(runtimeFolder, name)));
  const hasDriver = loaderFault(driverLibrary) === null;
  const asks = missingFiles.length === 0 && (looksFurther || devices !== 0);
  const libraries = asks ? providerLibraries(runtimeFolder) : [];
  const faults = libraries.flatMap((name) => loaderFault(name) ?? []);
  return {
    platform,
    arch,
    runtimeFolder,
    missingFiles,
    missingLibraries: faults.flatMap(({ missing }) => missing ?? []),
    brokenLibraries: faults.flatMap(({ missing, words }) => (missing === null ? words : [])),
    hasDriver,
    devices,
  };
}

function usualPlaces(): Places {
  const { platform, arch } = process;
  const main = createRequire(import.meta.url).resolve("onnxruntime-node");
  return {
    platform,
    arch,
    runtimeFolder: join(main, "../../bin/napi-v6", platform, arch),
    deviceFolder: "/dev",
  };
}

/** The driver's is asked for apart; what lies beside the provider is found there. */
function providerLibraries(folder: string): string[] {
  return neededLibraries(join(folder, provider)).filter(
    (name) => name !== driverLibrary && !existsSync(join(folder, name)),
  );
}

interface LoaderFault {
  /** null: it is there, or something else is wrong. */
  readonly missing: string | null;
  readonly words: string;
}

// Asks the loader itself, so that LD_LIBRARY_PATH, its cache and what the libraries themselves need count as in a real load. A library that loads is no module of
// Node's, which then says that it did not register.
function loaderFault(name: string): LoaderFault | null {
  try {
    process.dlopen({ exports: {} }, name);
    return null;
  } catch (error) {
    const [words = ""] = (error as Error).message.split("\n");
    if (/did not self-register/u.test(words)) return null;
    const missing = /^([^:]+): cannot open shared object file: No such file/u.exec(words)?.[1];
    return { missing: missing ?? null, words };
  }
}

// A container has nodes of its own devices only, by the host's numbers. WSL has one node for all.
function countDevices(folder: string): number | null {
  if (!existsSync(folder)) return 0;
  const names = readdirSync(folder);
  if (names.includes("dxg")) return null;
  return names.filter((name) => /^nvidia\d+$/u.test(name)).length;
}
