// Whether a request may pass without a token because it comes from this machine to this machine's
// runtime. What a client sends can be forged, so the permission is not the client's to give:
//   L1. The runtime must say that it is a local one, by `TIDEMARK_LOCAL`, which only the commands
//       that start one set (`npm run dev`, `tidemark dev`, local/runtime.ts). It is in no configuration file, so no
//       deployment has it. This alone keeps deployments closed.
//   L2. Should a deployment have it by mistake, its requests still do not look local: Cloudflare
//       routes by the Host, which is a name of the deployment's owner and never a loopback name; it
//       sets CF-Ray on all of them, and CF-Connecting-IP to where they came from.
//   L3. A web page in a browser of this machine is not this machine's user. Under a name of its own
//       that it rebound to 127.0.0.1 it sends that name as the Host; to `localhost` itself it sends
//       its own Origin, or Sec-Fetch-Site. Scripts cannot forge any of the three.
//   L4. What a tunnel or a reverse proxy hands on bears their marks.
// `request.cf` tells nothing: `wrangler dev` fills it in.

/** The value of `TIDEMARK_LOCAL` that makes a runtime a local one. */
const localValue = "open";

/** Headers that the edge, tunnels and reverse proxies add. */
const handedOn = ["CF-Ray", "CF-Worker", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host"];

export type Locality =
  | { readonly kind: "local" }
  /** The runtime is no local one. */
  | { readonly kind: "deployed" }
  /** The runtime is a local one; the request does not come from its machine, or from a web page. */
  | { readonly kind: "foreign"; readonly reason: string };

/**
 * @param declared the value of `TIDEMARK_LOCAL`
 * @param origins that may call from a web page, beside the request's own
 */
export function localityOf(
  { url, headers }: Pick<Request, "url" | "headers">,
  declared: string | undefined,
  origins: readonly string[],
): Locality {
  if (declared !== localValue) return { kind: "deployed" };
  const foreign = (reason: string): Locality => ({ kind: "foreign", reason });

  const own = new URL(url);
  const host = headers.get("Host");
  // The two differ where the runtime was told another URL by a header of its own (L3).
  const names = [own.hostname, ...(host === null ? [] : [hostnameOf(host)])];
  if (!names.every(isLoopback)) return foreign("its Host is not localhost, 127.0.0.1 or [::1]");

  const mark = handedOn.find((header) => headers.has(header));
  if (mark !== undefined) return foreign(`it was handed on by a proxy (${mark})`);
  const address = headers.get("CF-Connecting-IP");
  if (address !== null && !isLoopbackAddress(address)) {
    return foreign("it comes from another machine (CF-Connecting-IP)");
  }

  const origin = headers.get("Origin");
  if (origin !== null && origins.includes(origin)) return { kind: "local" };
  const site = headers.get("Sec-Fetch-Site") ?? "none";
  if ((origin ?? own.origin) !== own.origin || (site !== "none" && site !== "same-origin")) {
    return foreign("it comes from a web page of another origin (Origin, Sec-Fetch-Site)");
  }
  return { kind: "local" };
}

function hostnameOf(host: string): string {
  try {
    return new URL(`http://${host}`).hostname;
  } catch {
    return "";
  }
}

// A parsed URL writes every IPv4 address as four decimal numbers.
const isLoopback = (hostname: string): boolean =>
  hostname === "localhost" || hostname === "[::1]" || isLoopbackIpv4(hostname);

const isLoopbackAddress = (address: string): boolean =>
  address === "::1" || isLoopbackIpv4(address.replace(/^::ffff:/i, ""));

const isLoopbackIpv4 = (text: string): boolean => /^127(?:\.\d{1,3}){3}$/.test(text);
