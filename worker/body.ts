// Bodies of requests, none without a limit.

import { HttpError } from "./errors.ts";

/** The body, or 413 for a larger one; one whose length is not known is cut off at the limit. */
export async function bodyOf(
  request: Request,
  { bytesMax }: { readonly bytesMax: number },
): Promise<Uint8Array> {
  const tooLarge = (): HttpError =>
    new HttpError(413, `The body is larger than ${bytesMax} bytes; send less at once.`);
  const declared = request.headers.get("Content-Length");
  if (Number(declared) > bytesMax) throw tooLarge();
  if (request.body === null) return new Uint8Array();
  if (declared !== null && /^\d+$/.test(declared)) {
    const body = new Uint8Array(await request.arrayBuffer());
    // HTTP holds a body to what it declares; another Worker, by a service binding, need not.
    if (body.length > bytesMax) throw tooLarge();
    return body;
  }
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for await (const chunk of request.body as AsyncIterable<Uint8Array<ArrayBuffer>>) {
    length += chunk.length;
    if (length > bytesMax) throw tooLarge();
    chunks.push(chunk);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}
