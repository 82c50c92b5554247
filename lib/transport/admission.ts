import type { Layer } from '../wire/message.ts'

/** All that decides whether a message is legal. */
export interface Situation {
  readonly role: 'client' | 'server'
  /**
   * Where the key exchange stands: `idle` none runs · `offered` our KEXINIT is out, the peer's is not in · `running`
   * both are known · `newkeys` only the peer's NEWKEYS is missing.
   */
  readonly exchange: 'idle' | 'offered' | 'running' | 'newkeys'
  /** No key exchange was finished yet. */
  readonly initial: boolean
  /** Strict key exchange was agreed (PROTOCOL §1.9). */
  readonly strict: boolean
  readonly authenticated: boolean
  /** The packet follows the peer's first NEWKEYS directly. */
  readonly afterNewKeys: boolean
  /** EXT_INFO messages taken so far. */
  readonly extInfoCount: number
}

/**
 * `process` it; `ignore` it silently; answer `unimplemented`; or end the connection: `unexpected`, and `violation` when
 * strict key exchange forbids it.
 */
export type Admission = 'process' | 'ignore' | 'unimplemented' | 'unexpected' | 'violation'

/** A server sends EXT_INFO at most twice: after NEWKEYS and before USERAUTH_SUCCESS (RFC 8308 §2.4). */
const maxExtInfoFromServer = 2

/** The layer of a message number, known to us by RFC or PROTOCOL; undefined for the others. */
export function layerOf(number: number): Layer | undefined {
  if (number >= 1 && number <= 4) return 'always'
  if (number === 5 || number === 6) return 'service'
  if (number === 7) return 'extension'
  if (number === 20) return 'negotiation'
  if (number === 21) return 'newkeys'
  if (number >= 30 && number <= 49) return 'kex'
  if (number >= 50 && number <= 79) return 'userauth'
  if (number >= 80 && number <= 127) return 'connection'
  if (number === 192 || number === 193) return 'ping'
  return undefined
}

const DISCONNECT = 1
const SERVICE_REQUEST = 5
const SERVICE_ACCEPT = 6
const USERAUTH_REQUEST = 50
const PING = 192

/** The peer gave its KEXINIT and not yet its NEWKEYS: it may send only what belongs to the exchange. */
const peerExchanges = ({ exchange }: Situation): boolean => exchange === 'running' || exchange === 'newkeys'

/** One rule per layer, for all that the common rules of `admit` let through. */
const rules: Record<Layer, (number: number, situation: Situation) => Admission> = {
  always: () => 'process',
  negotiation: (_number, situation) => (peerExchanges(situation) ? 'unexpected' : 'process'),
  newkeys: (_number, { exchange }) => (exchange === 'newkeys' ? 'process' : 'unexpected'),
  kex: (_number, { exchange }) => (exchange === 'running' ? 'process' : 'unexpected'),
  extension(_number, { role, authenticated, afterNewKeys, extInfoCount }) {
    if (role === 'server') return afterNewKeys ? 'process' : 'unexpected'
    return !authenticated && extInfoCount < maxExtInfoFromServer ? 'process' : 'unexpected'
  },
  service(number, { role, authenticated }) {
    const legal = role === 'server' ? SERVICE_REQUEST : SERVICE_ACCEPT
    return number === legal && !authenticated ? 'process' : 'unexpected'
  },
  userauth(number, { role, authenticated }) {
    const fromClient = number === USERAUTH_REQUEST || number > 60
    const fromServer = number !== USERAUTH_REQUEST
    if (!(role === 'server' ? fromClient : fromServer)) return 'unexpected'
    if (!authenticated) return 'process'
    // RFC 4252 §5.1: requests after success are silently ignored.
    return number === USERAUTH_REQUEST ? 'ignore' : 'unexpected'
  },
  connection: (_number, { authenticated }) => (authenticated ? 'process' : 'unexpected'),
  ping(number, { authenticated, exchange }) {
    // Not answered before authentication nor in an exchange, where answers would pile up (CVE-2025-26466).
    return number !== PING || (authenticated && exchange === 'idle') ? 'process' : 'ignore'
  },
}

/** The only judge of the legality of a message. */
export function admit(number: number, situation: Situation): Admission {
  const layer = layerOf(number)
  if (situation.initial && situation.strict && peerExchanges(situation)) {
    const expected = situation.exchange === 'running' ? layer === 'kex' : layer === 'newkeys'
    return expected || number === DISCONNECT ? 'process' : 'violation'
  }
  if (layer === undefined) return 'unimplemented'
  const ofExchange = layer === 'always' || layer === 'negotiation' || layer === 'newkeys' || layer === 'kex'
  if (!ofExchange && (situation.initial || peerExchanges(situation))) return 'unexpected'
  return rules[layer](number, situation)
}

/** Messages that may be sent between KEXINIT and NEWKEYS (RFC 4253 §7.1). */
export function isOfExchange(number: number): boolean {
  return number < 5 || (number >= 20 && number < 50)
}
