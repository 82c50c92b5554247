import { describe, expect, it } from 'vitest'
import { type ProtocolError, UsageError } from '../../lib/errors.ts'
import { IdentificationReader, identificationLine } from '../../lib/transport/identification.ts'
import { transportPair } from '../support/transport-pair.ts'

function read(role: 'client' | 'server', text: string | Buffer, chunk = Number.POSITIVE_INFINITY) {
  const lines: string[] = []
  const reader = new IdentificationReader(role, line => lines.push(line))
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += chunk) {
    const found = reader.read(bytes.subarray(at, at + chunk))
    if (found) {
      const rest = Buffer.concat([found.rest, bytes.subarray(Math.min(bytes.length, at + chunk))])
      return { ...found.identification, rest: rest.toString(), lines }
    }
  }
  return undefined
}

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return (error as ProtocolError).code
  }
  return 'nothing thrown'
}

describe('the identification of a peer', () => {
  for (const chunk of [1, 5, Number.POSITIVE_INFINITY]) {
    it(`is found in chunks of ${chunk} bytes, and what follows it is left`, () => {
      const found = read('client', 'hello\r\nworld\nSSH-2.0-OpenSSH_9.2p1 Debian-2\r\nrest', chunk)
      expect(found).toEqual({
        line: 'SSH-2.0-OpenSSH_9.2p1 Debian-2',
        protocolVersion: '2.0',
        softwareVersion: 'OpenSSH_9.2p1 Debian-2',
        rest: 'rest',
        lines: ['hello', 'world'],
      })
    })
  }

  it('may end in a bare LF and name protocol 1.99', () => {
    expect(read('server', 'SSH-1.99-old\n')?.protocolVersion).toBe('1.99')
    expect(read('server', 'SSH-2.0-new\nx')).toMatchObject({ line: 'SSH-2.0-new', rest: 'x' })
  })

  it('may have 255 characters with CR LF, and not one more', () => {
    const longest = `SSH-2.0-${'x'.repeat(245)}\r\n`
    expect(longest.length).toBe(255)
    for (const role of ['client', 'server'] as const) {
      expect(read(role, longest)?.line.length).toBe(253)
      expect(codeOf(() => read(role, `SSH-2.0-${'x'.repeat(246)}\r\n`))).toBe('bad-identification')
      expect(codeOf(() => read(role, `SSH-2.0-${'x'.repeat(300)}`))).toBe('bad-identification')
    }
  })

  it('of another protocol version is refused', () => {
    for (const line of ['SSH-1.5-x', 'SSH-3.0-x', 'SSH-1.9-x', 'SSH-0.99-x']) {
      expect(codeOf(() => read('client', `${line}\r\n`))).toBe('unsupported-version')
    }
    for (const line of ['SSH-2.0', 'SSH-2.0-', 'SSH-x.y-z', 'SSH-2-z', 'SSH-99999999999.0-z']) {
      expect(codeOf(() => read('client', `${line}\r\n`))).toBe('bad-identification')
    }
  })

  it('has no NUL and no lone CR', () => {
    expect(codeOf(() => read('client', 'SSH-2.0-a\0b\r\n'))).toBe('bad-identification')
    expect(codeOf(() => read('client', 'SSH-2.0-a\rb\r\n'))).toBe('bad-identification')
    expect(codeOf(() => read('client', 'hello\0\r\n'))).toBe('bad-identification')
  })

  it('may follow 1023 lines of a server, which are bounded and made safe for a log', () => {
    expect(read('client', `${'x\r\n'.repeat(1023)}SSH-2.0-x\r\n`)?.lines.length).toBe(1023)
    expect(codeOf(() => read('client', 'x\r\n'.repeat(1024)))).toBe('bad-identification')
    expect(read('client', `${'x'.repeat(8 * 1024)}\nSSH-2.0-x\r\n`)?.softwareVersion).toBe('x')
    expect(codeOf(() => read('client', 'x'.repeat(8 * 1024 + 1)))).toBe('bad-identification')
    expect(codeOf(() => read('client', `${'x'.repeat(8000)}\n`.repeat(40)))).toBe('bad-identification')
    expect(read('client', 'a\x1b[31mb\r\nSSH-2.0-x\n')?.lines).toEqual(['a\\033[31mb'])
  })

  it('must be the first line of a client', () => {
    expect(codeOf(() => read('server', 'GET / HTTP/1.1\r\n'))).toBe('bad-identification')
    expect(codeOf(() => read('server', 'x'.repeat(256)))).toBe('bad-identification')
  })
})

describe('our identification', () => {
  it('is made of a version and a comment', () => {
    expect(identificationLine('tssh_0.1.0')).toBe('SSH-2.0-tssh_0.1.0')
    expect(identificationLine('tssh_0.1.0', 'Debian 1')).toBe('SSH-2.0-tssh_0.1.0 Debian 1')
  })

  it('cannot break the line', () => {
    for (const version of ['', 'a b', 'a-b', 'a\r\nb', 'é', 'x'.repeat(250)]) {
      expect(() => identificationLine(version)).toThrow(UsageError)
    }
    expect(() => identificationLine('a', 'b\nc')).toThrow(UsageError)
  })
})

describe('a transport that gets no identification', () => {
  function spoken(role: 'client' | 'server', line: string) {
    const output: Buffer[] = []
    const pair = transportPair({
      [`${role}Handlers`]: {
        output(chunks: Buffer[]) {
          output.push(...chunks)
          return true
        },
      },
    })
    const side = pair[role]
    side.transport.receive(Buffer.from(line))
    return { text: Buffer.concat(output).toString('latin1'), error: side.error, phase: side.transport.phase }
  }

  it('tells a bad client so in a line of text', () => {
    const { text, error, phase } = spoken('server', 'GET / HTTP/1.1\r\n')
    expect(text).toMatch(/^SSH-2\.0-test_server\r\n[\s\S]*Invalid SSH identification string\.\r\n$/)
    expect(error).toMatchObject({ code: 'bad-identification' })
    expect(phase).toBe('closed')
    expect(spoken('server', 'SSH-1.5-old\r\n').text).toMatch(/Protocol major versions differ\.\r\n$/)
  })

  it('says nothing to a bad server', () => {
    const { text, error } = spoken('client', 'SSH-1.5-old\r\n')
    expect(text).not.toContain('differ')
    expect(error).toMatchObject({ code: 'unsupported-version' })
  })
})
