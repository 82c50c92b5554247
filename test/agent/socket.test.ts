import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Keyring } from '../../lib/agent/keyring.ts'
import { AgentError } from '../../lib/errors.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { silentLog } from '../../lib/log.ts'
import { agentPathOf, connectAgent, listenForAgentClients, systemClock } from '../../src/agent.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tssh-agent-socket-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('an agent of the library, served and asked over a socket', async () => {
  const keyring = new Keyring({ clock: systemClock })
  const at = join(folder, 'agent')
  const server = await listenForAgentClients({ keyring, log: silentLog, at, protection: undefined })
  const { client, close } = await connectAgent(at)
  const key = generateKey('ed25519')
  await client.add(key, 'k', { lifetime: 100 })
  const [signer] = await client.signers()
  const data = Buffer.from('data')
  expect(key.publicKey.verify(data, await signer!.sign(data, 'ssh-ed25519'))).toBe(true)
  await expect(listenForAgentClients({ keyring, log: silentLog, at, protection: undefined })).rejects.toThrow('in use')
  close()
  keyring.removeAll()
  server.close()
})

test('a file in place of the socket, as gpg-agent leaves on Windows, names a port and what to say there first', async () => {
  const nonce = Buffer.from('0123456789abcdef')
  const heard: Buffer[] = []
  const server = createServer(socket => {
    socket.on('data', chunk => {
      heard.push(chunk)
      const all = Buffer.concat(heard)
      if (all.length >= 21 && all.subarray(16).equals(Buffer.from([0, 0, 0, 1, 11])))
        socket.write(Buffer.from([0, 0, 0, 5, 12, 0, 0, 0, 0]))
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const path = join(folder, 'emulated')
  writeFileSync(path, Buffer.concat([Buffer.from(`${port}\n`), nonce]))
  const { client, close } = await connectAgent(path)
  expect(await client.list()).toEqual([])
  expect(Buffer.concat(heard).subarray(0, 16)).toEqual(nonce)
  close()
  server.close()
})

test('what is no socket, and nothing at all', async () => {
  writeFileSync(join(folder, 'text'), 'just text')
  for (const name of ['text', 'nothing']) await expect(connectAgent(join(folder, name))).rejects.toThrow(AgentError)
  expect(agentPathOf({ SSH_AUTH_SOCK: '/x' })).toBe('/x')
  if (process.platform !== 'win32') expect(agentPathOf({})).toBeUndefined()
})

test("where the agent is: what the environment says, and on Windows else the named pipe of the system's OpenSSH", () => {
  const pipe = String.raw`\\.\pipe\openssh-ssh-agent`
  expect(agentPathOf({}, 'win32')).toBe(pipe)
  expect(agentPathOf({ SSH_AUTH_SOCK: '' }, 'win32')).toBe(pipe)
  expect(agentPathOf({ SSH_AUTH_SOCK: String.raw`\\.\pipe\other` }, 'win32')).toBe(String.raw`\\.\pipe\other`)
  for (const platform of ['linux', 'darwin'] as const) {
    expect(agentPathOf({}, platform)).toBeUndefined()
    expect(agentPathOf({ SSH_AUTH_SOCK: '/run/agent' }, platform)).toBe('/run/agent')
  }
})

test('a path that is too long for a socket is not cut to that of another', async () => {
  const base = mkdtempSync(join(tmpdir(), 'tssh-long-'))
  const long = join(base, 'x'.repeat(200))
  // What the system's 108 bytes have room for, the last one being a NUL.
  const cut = createServer(socket => socket.end()).listen(long.slice(0, 107))
  try {
    await new Promise(resolve => cut.once('listening', resolve))
    await expect(connectAgent(long)).rejects.toThrow('too long')
  } finally {
    cut.close()
    rmSync(base, { recursive: true, force: true })
  }
})
