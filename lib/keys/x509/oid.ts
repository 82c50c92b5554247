import { ProtocolError } from '../../errors.ts'

/** An OBJECT IDENTIFIER's body as dotted numbers (X.690 §8.19). @throws ProtocolError */
export function oidText(body: Buffer): string {
  const numbers: number[] = []
  let value = 0
  for (const byte of body) {
    value = value * 128 + (byte & 0x7f)
    if (value > Number.MAX_SAFE_INTEGER / 128) throw new ProtocolError('malformed-message', 'bad DER: long OID')
    if (byte & 0x80) continue
    numbers.push(value)
    value = 0
  }
  const [first, ...rest] = numbers
  if (first === undefined || body.at(-1)! & 0x80) throw new ProtocolError('malformed-message', 'bad DER: OID')
  const root = Math.min(Math.floor(first / 40), 2)
  return [root, first - root * 40, ...rest].join('.')
}
