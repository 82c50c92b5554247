import { KeyError } from '../../errors.ts'
import { isX509Algorithm } from '../algorithms.ts'
import { splitKeyLine } from '../public-key.ts'
import { parseX509Certificate, type X509Certificate } from './certificate.ts'

/** Most certificates of one text. */
const certificateLimit = 1000

/** The certificates of a PEM text (RFC 7468 §5), in order; what else stands there is passed over. @throws KeyError */
export function parseX509Pem(text: string): X509Certificate[] {
  const bodies = [...text.matchAll(/-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----/g)]
  if (bodies.length > certificateLimit) throw new KeyError('malformed', 'too many X.509 certificates')
  return bodies.map(([, body = '']) => parseX509Certificate(Buffer.from(body, 'base64')))
}

/** Reads `x509v3-TYPE base64 comment`, as it stands in files of keys. @throws KeyError */
export function parseX509Line(line: string): X509Certificate {
  const { type, blob } = splitKeyLine(line)
  if (!isX509Algorithm(type)) throw new KeyError('unknown-format', 'not an X.509 certificate')
  return parseX509Certificate(blob)
}

/** The certificates of a file: a line of its own form, or PEM, the key's own first. None: it is no such file. @throws KeyError */
export function parseX509File(text: string): X509Certificate[] {
  const line = text.split('\n').find(one => !/^\s*(#|$)/.test(one))
  return line && isX509Algorithm(line.trimStart()) ? [parseX509Line(line.trim())] : parseX509Pem(text)
}
