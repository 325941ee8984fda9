"""A run's figures for trackers of experiments: TensorBoard, MLflow, W&B, through their packages."""
