-- Forgets some of what has ended. ARGV: now, how many
sweep(ARGV[1], ARGV[2])
return 'swept'
