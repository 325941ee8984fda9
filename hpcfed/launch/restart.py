"""stub"""
def first_start(environment): return None
