import type { CipherAlgorithm } from '../algorithms/cipher.ts'
import type { CompressionAlgorithm } from '../algorithms/compression.ts'
import type { Algorithms } from '../algorithms/index.ts'
import type { KexMethod } from '../algorithms/kex.ts'
import type { MacAlgorithm } from '../algorithms/mac.ts'
import { NegotiationError, type NegotiationErrorCode, UsageError } from '../errors.ts'
import type { KexInitFields } from './messages.ts'
import type { NegotiatedAlgorithms, TransportOptions } from './transport.ts'

type Role = 'client' | 'server'

/** Names in the kex list that are no methods: RFC 8308 §2.1 and PROTOCOL §1.9. Only the first KEXINIT holds them. */
const extInfoMarker = { client: 'ext-info-c', server: 'ext-info-s' } as const
const strictMarker = { client: 'kex-strict-c-v00@openssh.com', server: 'kex-strict-s-v00@openssh.com' } as const

const otherRole = (role: Role): Role => (role === 'client' ? 'server' : 'client')

const namesOf = (list: readonly { readonly name: string }[]): string[] => list.map(({ name }) => name)

/** The host key names of our proposal. @throws UsageError when a server has no key for any of the algorithms */
export function hostKeyAlgorithmsOf(options: TransportOptions): readonly string[] {
  const { hostKey } = options.algorithms
  if (options.role === 'client') return hostKey
  const offered = hostKey.filter(name => options.hostKeys.some(signer => signer.algorithms.includes(name)))
  if (offered.length === 0) throw new UsageError('no host key for any of the host key algorithms')
  return offered
}

/** Our KEXINIT (RFC 4253 §7.1). `hostKey` are the names we offer; `initial` adds the markers. */
export function propose(
  role: Role,
  algorithms: Algorithms,
  hostKey: readonly string[],
  cookie: Buffer,
  initial: boolean,
): KexInitFields {
  const ciphers = namesOf(algorithms.cipher)
  const macs = namesOf(algorithms.mac)
  const compressions = namesOf(algorithms.compression)
  return {
    cookie,
    kex: [...namesOf(algorithms.kex), ...(initial ? [extInfoMarker[role], strictMarker[role]] : [])],
    hostKey: [...hostKey],
    cipherClientToServer: ciphers,
    cipherServerToClient: ciphers,
    macClientToServer: macs,
    macServerToClient: macs,
    compressionClientToServer: compressions,
    compressionServerToClient: compressions,
    languageClientToServer: [],
    languageServerToClient: [],
    firstKexPacketFollows: false,
    reserved: 0,
  }
}

/** What the peer of a first KEXINIT can do beyond the methods. `role` is ours. */
export function markersOf(role: Role, theirs: KexInitFields): { extInfo: boolean; strict: boolean } {
  const peer = otherRole(role)
  return { extInfo: theirs.kex.includes(extInfoMarker[peer]), strict: theirs.kex.includes(strictMarker[peer]) }
}

/** Algorithms of one direction. `mac` is absent for a cipher that authenticates itself. */
export interface DirectionAlgorithms {
  readonly cipher: CipherAlgorithm
  readonly mac: MacAlgorithm | undefined
  readonly compression: CompressionAlgorithm
}

/** The outcome of a negotiation: the names, and the algorithms themselves. */
export interface Negotiation {
  readonly names: NegotiatedAlgorithms
  readonly kex: KexMethod
  readonly clientToServer: DirectionAlgorithms
  readonly serverToClient: DirectionAlgorithms
  /** The peer sent a key exchange packet for a method that was not chosen: it is to be ignored (RFC 4253 §7). */
  readonly wrongGuess: boolean
}

/** Chooses per list the client's first name that the server has too (RFC 4253 §7.1). @throws NegotiationError */
export function negotiate(
  role: Role,
  algorithms: Algorithms,
  ours: KexInitFields,
  theirs: KexInitFields,
  strict: boolean,
): Negotiation {
  const choose = (list: ChosenList): string => {
    const [client, server] = role === 'client' ? [ours[list], theirs[list]] : [theirs[list], ours[list]]
    const offered = new Set(server)
    const name = client.find(candidate => offered.has(candidate) && isMethod(candidate))
    if (name !== undefined) return name
    const [code, what] = failures[list]
    throw new NegotiationError(
      code,
      `no matching ${what} found`,
      ours[list].filter(isMethod),
      theirs[list].filter(isMethod),
    )
  }
  const direction = (way: 'ClientToServer' | 'ServerToClient'): DirectionAlgorithms => {
    const cipher = named(algorithms.cipher, choose(`cipher${way}`))
    return {
      cipher,
      mac: cipher.authenticated ? undefined : named(algorithms.mac, choose(`mac${way}`)),
      compression: named(algorithms.compression, choose(`compression${way}`)),
    }
  }
  const kex = named(algorithms.kex, choose('kex'))
  const hostKey = choose('hostKey')
  const clientToServer = direction('ClientToServer')
  const serverToClient = direction('ServerToClient')
  const guessed = ours.kex[0] === theirs.kex[0] && ours.hostKey[0] === theirs.hostKey[0]
  return {
    names: {
      kex: kex.name,
      hostKey,
      clientToServer: directionNames(clientToServer),
      serverToClient: directionNames(serverToClient),
      strict,
    },
    kex,
    clientToServer,
    serverToClient,
    wrongGuess: theirs.firstKexPacketFollows && !guessed,
  }
}

type ChosenList = Exclude<
  { [K in keyof KexInitFields]: KexInitFields[K] extends string[] ? K : never }[keyof KexInitFields],
  'languageClientToServer' | 'languageServerToClient'
>

const failures: Record<ChosenList, readonly [NegotiationErrorCode, string]> = {
  kex: ['no-common-kex', 'key exchange method'],
  hostKey: ['no-common-host-key', 'host key type'],
  cipherClientToServer: ['no-common-cipher', 'cipher'],
  cipherServerToClient: ['no-common-cipher', 'cipher'],
  macClientToServer: ['no-common-mac', 'MAC'],
  macServerToClient: ['no-common-mac', 'MAC'],
  compressionClientToServer: ['no-common-compression', 'compression'],
  compressionServerToClient: ['no-common-compression', 'compression'],
}

const markers: ReadonlySet<string> = new Set([...Object.values(extInfoMarker), ...Object.values(strictMarker)])

function isMethod(name: string): boolean {
  return !markers.has(name)
}

/** The algorithm of a name that we ourselves offered. */
function named<T extends { readonly name: string }>(list: readonly T[], name: string): T {
  return list.find(candidate => candidate.name === name)!
}

function directionNames({ cipher, mac, compression }: DirectionAlgorithms): NegotiatedAlgorithms['clientToServer'] {
  return { cipher: cipher.name, mac: mac?.name ?? '<implicit>', compression: compression.name }
}
