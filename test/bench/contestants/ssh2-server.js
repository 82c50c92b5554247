// npm ssh2 as a server that lets one key in and runs commands and forwards: ssh2-server.js hostkey authorized_key port
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import ssh2 from 'ssh2'

const [hostKey, authorized, port] = process.argv.slice(2)
const allowed = ssh2.utils.parseKey(readFileSync(authorized))
new ssh2.Server({ hostKeys: [readFileSync(hostKey)] }, client => {
  client.on('authentication', context => {
    const { method, key, signature, blob, hashAlgo } = context
    if (method !== 'publickey' || !key.data.equals(allowed.getPublicSSH())) return context.reject(['publickey'])
    if (signature && !allowed.verify(blob, signature, hashAlgo)) return context.reject()
    context.accept()
  })
  client.on('session', accept => {
    accept().on('exec', (acceptExec, _reject, { command }) => {
      const stream = acceptExec()
      const child = spawn('/bin/sh', ['-c', command])
      stream.pipe(child.stdin)
      child.stdout.pipe(stream, { end: false })
      child.on('close', code => {
        stream.exit(code ?? 1)
        stream.end()
      })
    })
  })
  client.on('tcpip', (accept, _reject, { destIP, destPort }) => {
    const stream = accept()
    const socket = connect({ host: destIP, port: destPort, noDelay: true })
    socket.on('error', () => stream.close())
    stream.pipe(socket).pipe(stream)
  })
  client.on('error', () => {})
}).listen(Number(port), '127.0.0.1')
