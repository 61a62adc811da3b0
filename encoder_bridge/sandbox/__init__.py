"""What `encoder-bridge simulate` runs: the real daemon with simulated encoders, and somebody outside who asks.

::

    plan       what was asked for on the command line
    addresses  where a broker is, read from a URL
    broker     a private broker that ends with us
    workspace  the folders of jobs and cards
    settings   the daemon's configuration for a plan
    events     the messages that an integrator sends
    outside    the integrator: sends triggers, hears what is told, over MQTT or in this process
    steps      what is told, and how each job ended
    story      from what is heard to steps that a person understands
    words      its words
    lifts      when it tells that a card is to be lifted
    play       all of it, from the start to the last report
"""
