import { ProtocolError, sanitize } from '../errors.ts'
import type { Log } from '../log.ts'
import { ownCopy } from '../wire/own-copy.ts'
import type { Extension } from './messages.ts'
import type { TransportOptions } from './transport.ts'

/** Extensions that either side may announce (RFC 8308; PROTOCOL). */
const known = {
  client: ['server-sig-algs', 'publickey-hostbound@openssh.com', 'ping@openssh.com'],
  server: ['ext-info-in-auth@openssh.com'],
} as const

/** The only one that a server may announce anew once it knows the user. */
const renewable = 'server-sig-algs'

const entry = (name: string, value: string): Extension => ({ name, value: Buffer.from(value, 'latin1') })

/** What our EXT_INFO says. */
export function extensionsOf(options: TransportOptions): Extension[] {
  if (options.role === 'client') return [entry('ext-info-in-auth@openssh.com', '0')]
  return [
    entry('server-sig-algs', options.signatureAlgorithms.join(',')),
    entry('publickey-hostbound@openssh.com', '0'),
    entry('ping@openssh.com', '0'),
  ]
}

/** Stores what the peer announced. @throws ProtocolError on a NUL in a value that is a list or a version */
export function takeExtensions(
  role: 'client' | 'server',
  store: Map<string, Buffer>,
  extensions: readonly Extension[],
  first: boolean,
  log: Log,
): void {
  const parser = `kex_ext_info_${role}_parse`
  const names: readonly string[] = known[role]
  for (const { name, value } of extensions) {
    if (!first && name !== renewable) continue
    if (!names.includes(name)) {
      log.debug1?.(`${parser}: ${sanitize(name, true)} (unrecognised)`)
    } else {
      if (value.includes(0)) throw new ProtocolError('malformed-message', `NUL byte in the extension ${name}`)
      log.debug1?.(`${parser}: ${name}=<${sanitize(value.toString('latin1'), true)}>`)
    }
    store.set(name, ownCopy(value))
  }
}
