import { ProtocolError } from '../errors.ts'
import { message } from '../wire/message.ts'
import { boolean, type Field, fixed, nameList, rest, string, text, uint32 } from '../wire/struct.ts'

/** The messages of RFC 4253 §11 and §7.1, RFC 8308 and PROTOCOL §1.10 (ping). */

export const Disconnect = message<{ reason: number; description: string; language: string }, 'DISCONNECT'>(
  1,
  'DISCONNECT',
  'always',
  { reason: uint32, description: text, language: text },
)

/** Its data has no meaning; nothing is read, so that a short one does no harm. */
export const Ignore = message<{ data: Buffer }, 'IGNORE'>(2, 'IGNORE', 'always', { data: rest })

export const Unimplemented = message<{ sequence: number }, 'UNIMPLEMENTED'>(3, 'UNIMPLEMENTED', 'always', {
  sequence: uint32,
})

export const Debug = message<{ alwaysDisplay: boolean; text: string; language: string }, 'DEBUG'>(
  4,
  'DEBUG',
  'always',
  { alwaysDisplay: boolean, text, language: text },
)

export const ServiceRequest = message<{ service: string }, 'SERVICE_REQUEST'>(5, 'SERVICE_REQUEST', 'service', {
  service: text,
})

export const ServiceAccept = message<{ service: string }, 'SERVICE_ACCEPT'>(6, 'SERVICE_ACCEPT', 'service', {
  service: text,
})

export interface Extension {
  readonly name: string
  readonly value: Buffer
}

/** Entries of one EXT_INFO; OpenSSH takes no more either. */
const maxExtensions = 1024

const extensionList: Field<Extension[]> = {
  read(reader) {
    const count = reader.uint32()
    if (count > maxExtensions) throw new ProtocolError('limit-exceeded', `too many extensions: ${count}`)
    const extensions: Extension[] = []
    for (let i = 0; i < count; i++) extensions.push({ name: reader.text(), value: reader.string() })
    return extensions
  },
  write(writer, extensions) {
    writer.uint32(extensions.length)
    for (const { name, value } of extensions) writer.text(name).string(value)
  },
  describe: extensions => extensions.map(({ name, value }) => `${name}=<${value.toString('latin1')}>`).join(' '),
  random: dice => Array.from({ length: dice.next(4) }, () => ({ name: text.random(dice), value: string.random(dice) })),
}

export const ExtInfo = message<{ extensions: Extension[] }, 'EXT_INFO'>(7, 'EXT_INFO', 'extension', {
  extensions: extensionList,
})

export interface KexInitFields {
  cookie: Buffer
  kex: string[]
  hostKey: string[]
  cipherClientToServer: string[]
  cipherServerToClient: string[]
  macClientToServer: string[]
  macServerToClient: string[]
  compressionClientToServer: string[]
  compressionServerToClient: string[]
  languageClientToServer: string[]
  languageServerToClient: string[]
  firstKexPacketFollows: boolean
  reserved: number
}

export const KexInit = message<KexInitFields, 'KEXINIT'>(20, 'KEXINIT', 'negotiation', {
  cookie: fixed(16),
  kex: nameList,
  hostKey: nameList,
  cipherClientToServer: nameList,
  cipherServerToClient: nameList,
  macClientToServer: nameList,
  macServerToClient: nameList,
  compressionClientToServer: nameList,
  compressionServerToClient: nameList,
  languageClientToServer: nameList,
  languageServerToClient: nameList,
  firstKexPacketFollows: boolean,
  reserved: uint32,
})

export const NewKeys = message<Record<never, never>, 'NEWKEYS'>(21, 'NEWKEYS', 'newkeys', {})

/** PROTOCOL §1.10: answered by PONG with the same data. */
export const Ping = message<{ data: Buffer }, 'PING'>(192, 'PING', 'ping', { data: string })
export const Pong = message<{ data: Buffer }, 'PONG'>(193, 'PONG', 'ping', { data: string })
