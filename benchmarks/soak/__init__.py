"""Random and hostile input, kills, damage and full disks, for as long as one lets them run."""
