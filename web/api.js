// Requests to the server this page came from: relative addresses, so that a path before them (a proxy's) changes nothing.
const keyName = "seqserve-key";

export class ApiError extends Error {
  name = "ApiError";

  constructor(message, status, field) {
    super(message);
    this.status = status;
    this.field = field;
  }
}

export function storedKey() {
  return sessionStorage.getItem(keyName) ?? "";
}

export function storeKey(key) {
  if (key === "") sessionStorage.removeItem(keyName);
  else sessionStorage.setItem(keyName, key);
}

function authorization() {
  const key = storedKey();
  return key === "" ? {} : { authorization: `Bearer ${key}` };
}

/** The response as it is, with the key. Throws ApiError unless it is a success. */
export async function call(path, { headers = {}, ...options } = {}) {
  const response = await fetch(path, { ...options, headers: { ...authorization(), ...headers } });
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  throw new ApiError(body.error ?? `the server answered ${response.status}`, response.status, body.field);
}

export async function get(path) {
  return (await call(path)).json();
}

export async function post(path, body, signal) {
  const headers = { "content-type": "application/json" };
  return (await call(path, { method: "POST", headers, body: JSON.stringify(body), signal })).json();
}
