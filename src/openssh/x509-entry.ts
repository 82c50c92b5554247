import { KeyError } from '../../lib/errors.ts'
import { isX509Algorithm } from '../../lib/keys/algorithms.ts'
import type { X509Certificate } from '../../lib/keys/x509/certificate.ts'
import { type NamePattern, parseNamePattern } from '../../lib/keys/x509/name.ts'
import { parseX509Line } from '../../lib/keys/x509/text.ts'

/**
 * What stands in place of a key in known_hosts, authorized_keys and lists of authorities, as AsyncSSH has it: a certificate
 * (`x509v3-ssh-rsa BASE64`, its DER) or a pattern of the names of subjects (`x509v3-ssh-rsa subject=O=Example,*`). Which
 * algorithm it is called by says nothing.
 */
export type X509Entry =
  | { readonly certificate: X509Certificate; readonly subject?: undefined }
  | { readonly certificate?: undefined; readonly subject: NamePattern }

const subjectWord = /^(?:distinguished[ -]?name|subject|dn)[=:]?\s?/i

/** Undefined where there is none. Text is one character per byte. */
export function readX509Entry(text: string): X509Entry | undefined {
  const [, type = '', rest = ''] = /^[ \t]*(\S+)[ \t]+(.*?)\s*$/s.exec(text) ?? []
  if (!isX509Algorithm(type)) return undefined
  try {
    const word = subjectWord.exec(rest)?.[0]
    if (word === undefined) return { certificate: parseX509Line(text) }
    return { subject: parseNamePattern(Buffer.from(rest.slice(word.length), 'latin1').toString()) }
  } catch (error) {
    if (error instanceof KeyError) return undefined
    throw error
  }
}
