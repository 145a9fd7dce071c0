"""Loading models, the frozen reference policy, the training forward and generation."""
