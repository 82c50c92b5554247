#!/usr/bin/env node
import module from 'node:module'

module.enableCompileCache?.()
const { main, run } = await import('../dist/commands/tsftp/main.js')
await run(main)
