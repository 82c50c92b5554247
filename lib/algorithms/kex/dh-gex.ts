import { type DhGroup, type DhGroupName, dh, dhGroup, isDhGroup } from '../../crypto/dh.ts'
import { ProtocolError } from '../../errors.ts'
import { message } from '../../wire/message.ts'
import { mpint, string, uint32 } from '../../wire/struct.ts'
import { encode } from '../../wire/writer.ts'
import type { KexHash, KexMethod, KexSecret } from '../kex.ts'

/** RFC 4419 §5. The old request of one number (30) is not taken, as in OpenSSH. */
const Request = message(34, 'KEX_DH_GEX_REQUEST', 'kex', { min: uint32, preferred: uint32, max: uint32 })
const Group = message(31, 'KEX_DH_GEX_GROUP', 'kex', { p: mpint, g: mpint })
const Init = message(32, 'KEX_DH_GEX_INIT', 'kex', { clientPublic: mpint })
const Reply = message(33, 'KEX_DH_GEX_REPLY', 'kex', { hostKey: string, serverPublic: mpint, signature: string })

interface Sizes {
  readonly min: number
  readonly preferred: number
  readonly max: number
}

/** Bits of a modulus: what we ask for and take (RFC 8270 §3 raised the lower bound). */
const minBits = 2048
const maxBits = 8192

/** Modulus sizes of about the strength of a symmetric key, in bits (NIST SP 800-57 part 1, table 2). */
const modulusBits = (secretBits: number): number =>
  secretBits <= 112 ? 2048 : secretBits <= 128 ? 3072 : secretBits <= 192 ? 7680 : maxBits

const builtInGroups: readonly (readonly [bits: number, name: DhGroupName])[] = [
  [2048, 'group14'],
  [3072, 'group15'],
  [4096, 'group16'],
  [6144, 'group17'],
  [8192, 'group18'],
]

/** The fixed group that fits a wish best, for a server without moduli of its own. */
export function builtInGroup(min: number, preferred: number, max: number): DhGroup | undefined {
  const fitting = builtInGroups.filter(([bits]) => bits >= min && bits <= max)
  const best = fitting.find(([bits]) => bits >= preferred) ?? fitting.at(-1)
  return best && dhGroup(best[1])
}

/** Diffie-Hellman in a group that the server chooses by the client's wish (RFC 4419). */
function row(hash: KexHash, vendor = ''): KexMethod {
  const name = `diffie-hellman-group-exchange-${hash}${vendor}`
  const failed = (text: string): ProtocolError => new ProtocolError('key-exchange-failed', `${text} in ${name}`)
  const outcome = (sizes: Sizes, { p, g }: DhGroup, client: Buffer, server: Buffer, secret: Buffer): KexSecret => ({
    transcript: encode(writer =>
      writer.uint32(sizes.min).uint32(sizes.preferred).uint32(sizes.max).mpint(p).mpint(g).mpint(client).mpint(server),
    ),
    sharedSecret: encode(writer => writer.mpint(secret)),
  })
  return {
    name,
    hash,
    async client(exchange, secretBits) {
      const sizes = { min: minBits, preferred: modulusBits(secretBits), max: maxBits }
      exchange.send(Request, sizes)
      const group = await exchange.receive(Group)
      if (!isDhGroup(group, minBits, maxBits)) throw failed('unacceptable group of the server')
      const { publicValue, agree } = dh(group, secretBits)
      exchange.send(Init, { clientPublic: publicValue })
      const { hostKey, serverPublic, signature } = await exchange.receive(Reply)
      const secret = agree(serverPublic)
      if (!secret) throw failed('invalid public value of the server')
      return { hostKey, signature, ...outcome(sizes, group, publicValue, serverPublic, secret) }
    },
    async server(exchange, host, secretBits) {
      const sizes = await exchange.receive(Request)
      const min = Math.max(sizes.min, minBits)
      const max = Math.min(sizes.max, maxBits)
      const { preferred } = sizes
      if (max < min || preferred < sizes.min || preferred > sizes.max) throw failed('group sizes out of range')
      const wish = Math.min(Math.max(preferred, min), max)
      const group = (host.chooseGroup ?? builtInGroup)(min, wish, max)
      if (!group) throw failed('no matching group found')
      exchange.send(Group, group)
      const { publicValue, agree } = dh(group, secretBits)
      const { clientPublic } = await exchange.receive(Init)
      const secret = agree(clientPublic)
      if (!secret) throw failed('invalid public value of the client')
      const result = outcome(sizes, group, clientPublic, publicValue, secret)
      const signature = await host.sign(result)
      exchange.send(Reply, { hostKey: host.hostKey, serverPublic: publicValue, signature })
      return result
    },
  }
}

export const groupExchangeSha1 = row('sha1')
export const groupExchangeSha256 = row('sha256')
export const sshComGroupExchanges: readonly KexMethod[] = [
  row('sha224', '@ssh.com'),
  row('sha384', '@ssh.com'),
  row('sha512', '@ssh.com'),
]
